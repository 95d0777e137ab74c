"""Loaders for external data: handwriting, fonts, labelled captchas. Arrays, or a one-line ValueError."""
