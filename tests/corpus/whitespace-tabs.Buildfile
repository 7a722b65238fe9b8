FROM	alpine:3.19	AS	tabbed
RUN		two tabs   and   spaces
ENV	A=1		B=2   C="  3  "
	LABEL   x=y
COPY   a    b     c/   
  WORKDIR   /with/space   
EXPOSE    80     81
VOLUME	/a	/b
USER   app   
CMD   [ "a" ,   "b" ]   
