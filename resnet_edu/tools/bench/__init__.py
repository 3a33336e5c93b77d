"""How fast this machine trains, predicts and imports, measured side by side: `resnet-edu bench`, see `parts.py`."""
