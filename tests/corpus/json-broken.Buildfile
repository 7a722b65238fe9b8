FROM alpine
RUN ["unterminated", "array"
RUN ["trailing", "comma",]
RUN ['single', 'quotes']
CMD ["a", "b"] extra
ENTRYPOINT [ "unclosed string, "x" ]
VOLUME ["/a", "/b"
COPY ["a" "b"] c
HEALTHCHECK CMD ["x", y]
CMD []
ENTRYPOINT []
RUN [ "spaces" ,  "are"  , "fine" ]   
CMD ["\u0041\n", "\\", "\/"]
