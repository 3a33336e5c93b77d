"""The command `resnet-edu` and what it does: open, check, rehearse, export and pack the course, train and predict."""
