"""Kernel processes: launching, talking over ZMQ on Trio, warm ones in stock, and cleaning up."""
