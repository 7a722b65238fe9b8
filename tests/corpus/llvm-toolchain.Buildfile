FROM debian:sid AS stage1
RUN apt update && apt install -y git cmake ninja-build clang lld python3
ADD --keep-git-dir=false https://git.example.com/llvm/llvm-project.git#llvmorg-18.1.2 /llvm
WORKDIR /llvm/build1
RUN cmake -G Ninja ../llvm -DLLVM_ENABLE_PROJECTS='clang;lld' -DCMAKE_BUILD_TYPE=Release
RUN ninja install
FROM stage1 AS stage2
WORKDIR /llvm/build2
RUN cmake -G Ninja ../llvm \
    -DCMAKE_C_COMPILER=/usr/local/bin/clang \
    -DCMAKE_CXX_COMPILER=/usr/local/bin/clang++ \
    -DLLVM_USE_LINKER=lld \
    -DCMAKE_INSTALL_PREFIX=/opt/llvm
RUN ninja install
FROM debian:sid-slim
COPY --from=stage2 /opt/llvm /opt/llvm
ENV PATH=/opt/llvm/bin:$PATH
