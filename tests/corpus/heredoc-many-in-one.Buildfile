FROM alpine
RUN <<FIRST cat > /a && <<SECOND cat > /b
one $HOME
FIRST
two `date`
SECOND
RUN cat <<'LITERAL' > /c; cat <<-TABS > /d
	$NOT expanded by anyone
LITERAL
	tabs go
		from the front
	TABS
RUN 3<<FD cat <&3
through a descriptor
FD
