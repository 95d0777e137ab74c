"""Foreign files brought in: handwriting, fonts and labelled captchas become plain arrays, or one line of complaint."""
