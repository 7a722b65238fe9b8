FROM busybox
ENV one="a b" two='a b' three=a\ b four="a\"b" five='a"b' six=a"b"c'd'
ENV seven="\$x" eight='\$x' nine=\$x ten="a\\b" eleven=a\\b twelve='a\\b' thirteen="a\nb"
ENV fourteen="multi \
line" fifteen=end
ENV sixteen="" seventeen='' eighteen=
LABEL "key with space"="v" key.$one=x 'single key'='v'
LABEL unicode="žluťoučký kůň 🐴" tab="	" nbsp=a b
EXPOSE "80" '443' 8\0
VOLUME "/a"b /c\d '/e'
WORKDIR "/dir with space"/sub
USER "app:grp"
STOPSIGNAL "SIGINT"
