ARG CUDA=12.1.1
ARG OS=ubuntu22.04
FROM nvidia/cuda:${CUDA}-cudnn8-devel-${OS} AS dev
ARG CUDA
ENV CUDA_HOME=/usr/local/cuda-${CUDA%.*} \
    TORCH_CUDA_ARCH_LIST="7.0 7.5 8.0 8.6+PTX"
RUN apt-get update && apt-get install -y python3-pip && pip3 install torch --index-url https://wheels.example.com/cu${CUDA%%.*}
COPY kernels/ /kernels/
RUN cd /kernels && python3 setup.py bdist_wheel
FROM nvidia/cuda:${CUDA}-runtime-${OS}
COPY --from=dev /kernels/dist/*.whl /wheels/
RUN pip3 install /wheels/*.whl
ENV NVIDIA_VISIBLE_DEVICES all
