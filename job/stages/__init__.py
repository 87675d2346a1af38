"""WHAT happens: one stage a file, one public function each. A stage never imports another stage."""
