"""Captchas: glyphs, composition, colour, noise and the experimental design. Arrays in, arrays out."""
