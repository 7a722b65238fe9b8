FROM debian
COPY ["a", "b"]
COPY [ "a" , "b c" , "/d/" ]
COPY ["back\\slash", "tab\there", "\u00e9.txt", "/json/"]
COPY --chown=1:1 ["a","/owned"]
COPY [a, b]
COPY ['a', 'b']
COPY ["a", "b"] /trailing
ADD ["C:\\dir", "/win"]
COPY ["$VAR/z", "${VAR:-x}y", "/vars/"]
