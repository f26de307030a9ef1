"""What blocks go through: processes of this machine, or workers of a cluster."""
