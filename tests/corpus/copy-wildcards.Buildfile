FROM scratch
COPY *.txt /txt/
COPY file?.md /md/
COPY [a-c]*.cfg [^d]x.cfg /cfg/
COPY arr[[]0].txt /mydir/
COPY **/*.proto /protos/
COPY src/**/test_*.py /tests/
COPY ./././deep//path/. /deep/
COPY / /whole/
COPY ../outside.txt /inside.txt
COPY escaped\*star.txt /star.txt
COPY . .
