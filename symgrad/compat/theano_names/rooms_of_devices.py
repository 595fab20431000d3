"""The rooms of Theano's sandbox and of its GPU code."""

from __future__ import annotations

GPU = """
    .gpu: cuda_available cuda_enabled cuda_ndarray pygpu_activated use
    .gpu: dnn_available dnn_present
"""

DEVICE_ROOMS: dict[str, str] = {
    "theano.sandbox": "",
    "theano.sandbox.rng_mrg": "symgrad.random: MRG_RandomStreams\n.mrg: *",
    "theano.sandbox.softsign": "theano.tensor.nnet: softsign",
    "theano.sandbox.neighbours": "theano.tensor.nnet.neighbours: images2neibs neibs2images",
    "theano.sandbox.neighbourhoods": "",
    "theano.sandbox.linalg": """
        theano.tensor.nlinalg: *
        theano.tensor.slinalg: *
    """,
    "theano.sandbox.linalg.ops": "theano.sandbox.linalg: *",
    "theano.sandbox.multinomial": "",
    "theano.sandbox.conv": "theano.tensor.nnet.conv: *",
    "theano.sandbox.blocksparse": "theano.tensor.nnet.blocksparse: *",
    "theano.sandbox.cuda": GPU,
    "theano.sandbox.cuda.basic_ops": ".gpu: gpu_contiguous gpu_from_host host_from_gpu as_cuda_ndarray_variable",
    "theano.sandbox.cuda.blas": "",
    "theano.sandbox.cuda.var": "symgrad.tensor: CudaNdarraySharedVariable=TensorSharedVariable",
    "theano.sandbox.cuda.type": "",
    "theano.sandbox.cuda.nvcc_compiler": "",
    "theano.sandbox.cuda.rng_curand": "symgrad.random: CURAND_RandomStreams=MRG_RandomStreams",
    "theano.sandbox.cuda.dnn": """
        .gpu: dnn_available dnn_conv dnn_pool dnn_conv3d
        symgrad.tensor.nnet: dnn_batch_normalization_train=batch_normalization_train
        symgrad.tensor.nnet: dnn_batch_normalization_test=batch_normalization_test
    """,
    "theano.sandbox.cuda.fftconv": "theano.tensor.nnet: conv2d_fft=conv2d",
    "theano.sandbox.gpuarray": GPU,
    "theano.sandbox.gpuarray.dnn": ".gpu: dnn_present dnn_available dnn_conv dnn_pool",
    "theano.gpuarray": GPU,
    "theano.gpuarray.dnn": """
        .gpu: dnn_present dnn_available dnn_conv dnn_pool dnn_conv3d
        symgrad.tensor.nnet: dnn_batch_normalization_train=batch_normalization_train
        symgrad.tensor.nnet: dnn_batch_normalization_test=batch_normalization_test
    """,
    "theano.gpuarray.fft": "theano.tensor.fft: curfft=rfft cuirfft=irfft",
    "theano.gpuarray.basic_ops": """
        .gpu: gpu_contiguous gpu_from_host host_from_gpu as_gpuarray_variable infer_context_name
    """,
    "theano.gpuarray.type": """
        .gpu: get_context list_contexts
        symgrad.tensor: GpuArraySharedVariable=TensorSharedVariable
    """,
    "theano.gpuarray.linalg": "theano.tensor.slinalg: gpu_cholesky=cholesky gpu_solve=solve",
}
