FROM nginx AS inherits
RUN true
FROM nginx AS replaced
ENTRYPOINT ["/mine"]
FROM nginx AS both
CMD ["args"]
ENTRYPOINT ["/mine"]
FROM both AS child
ENTRYPOINT /shell form
FROM child
ENTRYPOINT []
CMD last $HOME
CMD ["really", "last"]
COPY --from=inherits / /a
COPY --from=replaced / /b
