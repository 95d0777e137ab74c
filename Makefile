# Five words. Make, since most machines have it and few have just. Activate the environment first.
.PHONY: test lint repro lab lock

test:
	pytest -n 2 --dist loadfile

lint:
	ci/lint.sh

repro:
	dvc repro

lab:
	python -m stages.lab

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  requirements.in -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  -c requirements.lock requirements-dev.in -o requirements-dev.lock
	python ci/offline_template.py
