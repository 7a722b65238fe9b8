FROM julia:1.10-bookworm
ENV JULIA_DEPOT_PATH=/opt/julia JULIA_NUM_THREADS=auto
WORKDIR /project
COPY Project.toml Manifest.toml ./
RUN julia --project -e 'using Pkg; Pkg.instantiate(); Pkg.precompile()'
RUN <<JULIA julia --project
println("heredoc into julia: ", 1 + 1)
JULIA
COPY src ./src
ENTRYPOINT ["julia", "--project"]
CMD ["src/main.jl"]
