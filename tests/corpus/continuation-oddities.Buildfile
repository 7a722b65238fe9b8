FROM alpine
RUN echo a \  
	&& echo b \	
 && echo c
RUN echo \
# comment one
   # indented comment
  still \
\
  going
RUN ends with a doubled escape \\
RUN one \

two after an empty line \
	
three
ENV A=x\
y B=z
RUN echo "quoted \
string" '# not a comment'
   RUN indented instruction # trailing text is an argument
	EXPOSE 80 \ 
# 81 is for later
  82
