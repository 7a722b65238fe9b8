# syntax=docker/dockerfile:1
FROM python:3.11-alpine AS app
WORKDIR /app
COPY <<-'PYTHON' app.py
	import http.server
	import os

	class Handler(http.server.BaseHTTPRequestHandler):
	    def do_GET(self):
	        self.send_response(200)
	        self.end_headers()
	        self.wfile.write(f"{os.environ['GREETING']}\n".encode())

	http.server.HTTPServer(("", 8000), Handler).serve_forever()
	PYTHON
ARG GREETING="good morning"
ENV GREETING=$GREETING
EXPOSE 8000
CMD ["python", "app.py"]
