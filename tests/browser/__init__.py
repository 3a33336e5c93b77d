"""What needs a browser; skipped where there is none."""
