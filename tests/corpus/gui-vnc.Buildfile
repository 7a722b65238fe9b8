FROM debian:buster
ENV DISPLAY=:1 \
    VNC_PORT=5901 \
    RESOLUTION="1280x800"
EXPOSE $VNC_PORT
RUN apt-get update && apt-get install -y xfce4 tightvncserver novnc
RUN mkdir -p /root/.vnc && \
    printf '#!/bin/sh\nxrdb $HOME/.Xresources\nstartxfce4 &\n' > /root/.vnc/xstartup && \
    chmod +x /root/.vnc/xstartup
COPY "desktop"-files/*.desktop /root/Desktop/
COPY ["desktop files/wall paper.jpg", "/usr/share/backgrounds/"]
CMD vncserver $DISPLAY -geometry $RESOLUTION && tail -F /root/.vnc/*.log
