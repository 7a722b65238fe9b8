"""A build told in one page of HTML, that needs no script and no network: what it is told by, and how it is drawn.

facts    what the page tells, out of a build's events and spans
layout   where the steps stand in the picture of the graph
page     the page
"""
