# A comment first, so the next is no directive
# escape=`
#no space
	# tabbed

FROM busybox
#
# described: what this stage is
# in two lines
RUN echo one#two # three
#RUN commented out
LABEL hash="#value" bare=#value
ENV C=\#x
COPY #file /#dir/
CMD echo '# quoted' \
# inside
  more
# the last line is a comment
