"""Why a reader fails: what it looks at, where its classes lie, what it confuses and what it has never seen."""
