"""The parts of the explain stage: each module of a part has `findings(inputs)`."""
