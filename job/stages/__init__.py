"""WHAT happens: a stage is an object in the file of its name, with its steps in files beside (`embed_loop` of `embed`).
A stage never imports another stage."""
