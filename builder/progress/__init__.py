"""Events → something to look at. Renderers are callables that take events; `close` ends them."""
