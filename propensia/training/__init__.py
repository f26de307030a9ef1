"""Making models. It may write a PKL, and never reads one."""
