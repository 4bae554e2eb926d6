"""Trust: whether what a notebook asks for was approved by the user of this machine."""
