"""Templates as Go's text/template has them, as far as users of Docker write them after `--format`. Pure.

template text ──lexer──▶ tokens ──parser──▶ nodes ──evaluate──▶ text, given a value
                                                     functions, values
"""
