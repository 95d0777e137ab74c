"""The pictures and the page of the study: tables and arrays in, figures and HTML out."""
