"""The parts of the explain stage: each module has `findings(inputs)`, and says what it reads of `Inputs`."""
