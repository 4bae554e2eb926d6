"""Jupyter messages: their wire format and the queue that decides what runs next. Pure."""
