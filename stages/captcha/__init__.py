"""The captcha itself: glyphs, composition, colour, noise and the experimental design; arrays in, arrays out."""
