"""The lab: a web page to paint, compose, train and browse results. It reads the study's artifacts and is no stage."""
