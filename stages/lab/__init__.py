"""The lab: a web page to paint, compose, train and look. It reads the study's artifacts and is no stage of it."""
