"""The rooms of Theano's language of tensors."""

from __future__ import annotations

TENSOR_ROOMS: dict[str, str] = {
    "theano.tensor": """
        symgrad.tensor: isnan_=isnan isinf_=isinf
        theano: theano=
        theano.compile: compile=
        theano.gof: gof=
        theano.tensor.basic: basic=
        theano.tensor.elemwise: elemwise=
        .constructors: *
        .tensor_functions: *
        .ops: *
        .types: TensorType Tensor=TensorType
        .sharing: _shared=shared
        .configuration: config=theano_config
        .facts: int_dtypes uint_dtypes integer_dtypes float_dtypes complex_dtypes
        .facts: continuous_dtypes discrete_dtypes all_dtypes
        symgrad.tensor: sort var
        theano.scalar: scal=
        theano.tensor.nlinalg: extract_diag
        .gradients: numeric_grad
        symgrad.custom: grad_not_implemented grad_undefined
        .softmax: softmax
        .sharing: SharedVariable
        symgrad: Apply Variable Constant Lop Rop jacobian hessian
        symgrad.errors: ShapeError
        symgrad.custom: Op=PythonOp
        theano.printing: pprint min_informative_str
        theano.gradient: consider_constant disconnected_grad zero_grad grad_clip grad_scale
        symgrad.tensor: *
    """,
    "theano.tensor.basic": """
        .test_tools: _allclose=is_close
        symgrad.tensor: _dot=dot isnan_=isnan isinf_=isinf
        .casts: _convert_to_bool _convert_to_int8 _convert_to_int16 _convert_to_int32 _convert_to_int64
        .casts: _convert_to_uint8 _convert_to_uint16 _convert_to_uint32 _convert_to_uint64 _convert_to_float16
        .casts: _convert_to_float32 _convert_to_float64 _convert_to_complex64 _convert_to_complex128
        theano.tensor: *
    """,
    "theano.tensor.var": "symgrad.tensor.variable: _tensor_py_operators=TensorOperators\ntheano.tensor: *",
    "theano.tensor.type": ".types: *",
    "theano.tensor.elemwise": ".ops: Elemwise DimShuffle CAReduce CAReduceDtype Sum Prod ProdWithoutZeros All Any=Any_",
    "theano.tensor.subtensor": """
        .ops: Subtensor IncSubtensor AdvancedSubtensor AdvancedSubtensor1 AdvancedIncSubtensor AdvancedIncSubtensor1
        theano.tensor: *
    """,
    "theano.tensor.sharedvar": """
        .sharing: tensor_constructor scalar_constructor TensorSharedVariable ScalarSharedVariable
        .sharing: SharedVariable
    """,
    "theano.tensor.shared_randomstreams": ".random_streams: RandomStreams RandomStateSharedVariable=RandomState",
    "theano.tensor.raw_random": "theano: theano= tensor config\nnumpy: np=\n.random_functions: *",
    "theano.tensor.randomstreams": ".random_streams: RandomStreams",
    "theano.tensor.extra_ops": """
        symgrad.tensor: cpu_contiguous=tensor_copy
        symgrad.graph.absent: DisconnectedType
        symgrad.custom: disconnected_type
        theano.tensor: *
    """,
    "theano.tensor.sort": "theano.tensor: sort argsort topk argtopk topk_and_argtopk\n.ops: SortOp ArgSortOp TopKOp",
    "theano.tensor.inplace": ".inplace: *",
    "theano.tensor.io": "",
    "theano.tensor.tests": "",
    "theano.tensor.tests.test_basic": ".arrays_for_tests: *",
    "theano.tensor.utils": ".utilities: hash_from_ndarray hash_from_dict shape_of_variables",
    "theano.tensor.xlogx": "symgrad.tensor: xlogx xlogy0\n.scalars: XlogX XlogY0",
    "theano.tensor.fft": "symgrad.tensor.fft: rfft=rfft_parts irfft=irfft_parts\n.fourier: *",
    "theano.tensor.fourier": "symgrad.tensor.fft: fft",
    "theano.tensor.nlinalg": """
        symgrad.tensor: alloc_diag
        .ops: ExtractDiag AllocDiag
        .linear_algebra: _zero_disconnected
        .linear_algebra: *
        symgrad.tensor.linalg: *
    """,
    "theano.tensor.slinalg": "symgrad.tensor.linalg: *\n.linear_algebra: *",
    "theano.tensor.opt": "symgrad.custom: Assert assert_=Assert\n.ops: MakeVector Shape_i",
    "theano.tensor.opt_uncanonicalize": "",
    "theano.tensor.blas": ".ops: Gemm Gemv Dot22 BatchedDot\nsymgrad.tensor: batched_dot batched_tensordot _dot22=dot",
    "theano.tensor.blas_c": "",
    "theano.tensor.blas_scipy": "",
    # ---- signals ----
    "theano.tensor.signal": "",
    "theano.tensor.signal.pool": """
        symgrad.tensor.nnet: pool_2d pool_3d max_pool_2d=pool_2d max_pool_2d_same_size
        .convolution: bool_t Pool
        .convolution_ops: PoolGrad MaxPoolGrad AveragePoolGrad DownsampleFactorMaxGradGrad MaxPoolRop
    """,
    "theano.tensor.signal.downsample": """
        theano.tensor.signal.pool: max_pool_2d max_pool_2d_same_size
        .convolution: DownsampleFactorMax
    """,
    "theano.tensor.signal.conv": "symgrad.tensor.nnet: conv2d=signal_conv2d",
    # ---- nnet ----
    "theano.tensor.nnet": """
        .softmax: softmax logsoftmax softmax_graph=softmax softmax_with_bias
        .ops: Softmax SoftmaxGrad SoftmaxWithBias LogSoftmax Prepend_scalar_to_each_row CrossentropyCategorical1Hot
        .ops: CrossentropySoftmaxArgmax1HotWithBias CrossentropySoftmax1HotWithBiasDx CrossentropyCategorical1HotGrad
        .ops: Prepend_scalar_constant_to_each_row
        .softmax: softmax_op=softmax logsoftmax_op=logsoftmax
        .inplace: sigmoid_inplace
        symgrad.tensor.nnet: *
        symgrad.tensor: sigmoid softplus relu
    """,
    "theano.tensor.nnet.nnet": "theano.tensor.nnet: *",
    "theano.tensor.nnet.sigm": """
        theano.tensor.nnet: sigmoid hard_sigmoid ultra_fast_sigmoid softplus scalar_sigmoid sigmoid_inplace
        .internals_of_theano: compute_mul is_1pexp parse_mul_tree perform_sigm_times_exp
        .internals_of_theano: register_local_1msigmoid simplify_mul
    """,
    "theano.tensor.nnet.conv": ".convolution: conv2d=old_conv2d ConvOp imported_scipy_signal",
    "theano.tensor.nnet.abstract_conv": """
        .convolution_ops: BaseAbstractConv
        .convolution_checks: assert_conv_shape assert_shape check_conv_gradinputs_shape
        .convolution: get_conv_output_shape get_conv_shape_1axis get_conv_gradweights_shape get_conv_gradinputs_shape
        symgrad.tensor.nnet: *
    """,
    "theano.tensor.nnet.corr": ".convolution_ops: CorrMM CorrMM_gradWeights CorrMM_gradInputs",
    "theano.tensor.nnet.corr3d": ".convolution_ops: Corr3dMM Corr3dMM_gradWeights Corr3dMM_gradInputs",
    "theano.tensor.nnet.conv3d2d": """
        symgrad.tensor.nnet: conv3d=conv3d_of_signals
        .internals_of_theano: DiagonalSubtensor IncDiagonalSubtensor get_diagonal_subtensor_view
    """,
    "theano.tensor.nnet.Conv3D": ".convolution: conv3D",
    "theano.tensor.nnet.ConvTransp3D": "",
    "theano.tensor.nnet.ConvGrad3D": "",
    "theano.tensor.nnet.bn": """
        symgrad.tensor.nnet: batch_normalization batch_normalization_train batch_normalization_test
        .normalization_ops: AbstractBatchNormTrain AbstractBatchNormInference AbstractBatchNormTrainGrad
        theano.tensor: add mul sub true_div
    """,
    "theano.tensor.nnet.neighbours": "symgrad.tensor.nnet: images2neibs neibs2images\n.ops: Images2Neibs",
    "theano.tensor.nnet.blocksparse": "symgrad.tensor.nnet: sparse_block_dot",
    "theano.tensor.nnet.ctc": "symgrad.tensor.nnet: ctc",
    # ---- scalars ----
    "theano.scalar": """
        .scalars: *
        .graph_walks: Composite
        .tensor_functions: autocast_float autocast_float_as autocast_int
        theano.tensor: *
    """,
    "theano.scalar.basic": "theano.scalar: *",
    "theano.scalar.basic_scipy": ".scalars: *\ntheano.tensor: *",
    "theano.scalar.sharedvar": ".sharing: shared",
    # ---- sparse ----
    "theano.sparse": """
        symgrad.sparse: SparseConstant SparseSharedVariable SparseTensorSharedVariable=SparseSharedVariable
        symgrad.sparse: _is_sparse=is_sparse _is_sparse_variable=is_sparse
        symgrad.sparse: _is_dense=is_dense _is_dense_variable=is_dense
        .facts: enable_sparse sparse_formats float_dtypes
        .sparse_ops: *
        symgrad.sparse: *
    """,
    "theano.sparse.basic": "theano.sparse: *",
    "theano.sparse.type": "theano.sparse: SparseType",
    "theano.sparse.sharedvar": "theano.sparse: shared sparse_constructor=shared SparseTensorSharedVariable",
    "theano.sparse.sandbox": "",
    "theano.sparse.sandbox.sp": "theano.sparse: *",
    "theano.sparse.sandbox.sp2": "theano.sparse: *",
    "theano.sparse.sandbox.truedot": "theano.sparse: true_dot",
}
