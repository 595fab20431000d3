"""What networks are made of, ``T.nnet``: activations, losses, convolution, pooling, normalization, patches."""

from symgrad.ops.activations import *
from symgrad.ops.block_products import sparse_block_dot
from symgrad.ops.conv import conv2d
from symgrad.ops.conv_1d import *
from symgrad.ops.conv_3d import *
from symgrad.ops.conv_callables import *
from symgrad.ops.conv_compositions import *
from symgrad.ops.conv_gradients import *
from symgrad.ops.ctc import ctc
from symgrad.ops.elementwise import relu, sigmoid, softplus
from symgrad.ops.hierarchical_softmax import h_softmax
from symgrad.ops.losses import *
from symgrad.ops.neighbours import images2neibs, neibs2images
from symgrad.ops.normalization import *
from symgrad.ops.pool import pool_2d
from symgrad.ops.pool_nd import max_pool_2d_same_size, pool_3d
from symgrad.ops.softmax import *
from symgrad.ops.upsampling import *

scalar_sigmoid = sigmoid
abstract_conv2d = conv2d
