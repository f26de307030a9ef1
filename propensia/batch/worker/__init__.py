"""What a worker does with a block: reads it by the contract, scores it, says why."""
