"""One file per resource kind; `reconciler.kinds.registry` lists them."""
