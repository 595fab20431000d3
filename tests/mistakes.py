"""Programs that go wrong where functions are made and called, in settings, files, devices, loops and random numbers."""

MISTAKES = {
    # ---- making functions ----
    "missing_input": """
        x, y = T.fvectors('x', 'y')
        f = symgrad.function([x], x + y)
    """,
    "unused_input": """
        x, y = T.fvectors('x', 'y')
        f = symgrad.function([x, y], x * 2)
    """,
    "input_given_twice": """
        x = T.fvector('x')
        f = symgrad.function([x, x], x * 2)
    """,
    "input_is_a_constant": """
        f = symgrad.function([T.constant(3.0)], T.constant(3.0) + 1)
    """,
    "input_is_shared": """
        w = symgrad.shared(np.zeros(3, 'float32'), 'w')
        f = symgrad.function([w], w * 2)
    """,
    "output_is_no_variable": """
        x = T.fvector('x')
        f = symgrad.function([x], [x, 'y'])
    """,
    "update_of_another_dtype": """
        w = symgrad.shared(np.zeros(3, 'float32'), 'w')
        f = symgrad.function([], updates=[(w, T.cast(w, 'float64') / 3)])
    """,
    "update_of_another_rank": """
        w = symgrad.shared(np.zeros(3, 'float32'), 'w')
        f = symgrad.function([], updates=[(w, T.sum(w))])
    """,
    "update_twice": """
        w = symgrad.shared(np.zeros(3, 'float32'), 'w')
        f = symgrad.function([], updates=[(w, w + 1), (w, w + 2)])
    """,
    "update_target_is_no_shared_variable": """
        x = T.fvector('x')
        f = symgrad.function([x], x, updates=[(x, x + 1)])
    """,
    "given_of_another_type": """
        x, y = T.fvector('x'), T.fmatrix('y')
        f = symgrad.function([y], x * 2, givens={x: y})
    """,
    "update_of_another_shape_at_the_call": """
        x, w = T.fvector('x'), symgrad.shared(np.zeros(3, 'float32'), 'w', shape=(3,))
        f = symgrad.function([x], updates=[(w, x)])
        f([1, 2])
    """,
    # ---- calling them ----
    "too_many_arguments": """
        x = T.fvector('x')
        f = symgrad.function([x], x * 2, name='double')
        f([1], [2])
    """,
    "argument_left_out": """
        x, y = T.fvectors('x', 'y')
        f = symgrad.function([x, y], x + y)
        f([1, 2])
    """,
    "argument_of_another_dtype": """
        i = T.ivector('i')
        f = symgrad.function([i], i + 1)
        f([0.5, 1.0])
    """,
    "argument_of_another_rank": """
        x = T.fmatrix('x')
        f = symgrad.function([x], x + 1, name='next')
        f([1, 2, 3])
    """,
    "argument_of_wide_floats": """
        x = T.fvector('x')
        f = symgrad.function([x], x + 1)
        f(np.ones(3))
    """,
    "argument_with_unknown_name": """
        x = T.fvector('x')
        f = symgrad.function([x], x + 1)
        f(y=[1, 2])
    """,
    "ragged_argument": """
        x = T.fmatrix('x')
        f = symgrad.function([x], x + 1)
        f([[1, 2], [3]])
    """,
    "eval_without_a_value": """
        x, y = T.fvectors('x', 'y')
        (x + y).eval({x: [1, 2]})
    """,
    # ---- dtypes and arithmetic ----
    "unknown_dtype": """
        x = T.tensor('float31', (3,), 'x')
    """,
    "bits_of_floats": """
        x = T.fvector('x')
        y = x & 1
    """,
    "cast_of_complex_numbers": """
        z = T.zvector('z')
        x = z.astype('float32')
    """,
    "unknown_function": """
        x = T.fvector('x')
        y = T.tahn(x)
    """,
    "length_of_a_variable": """
        x = T.fvector('x')
        n = len(x)
    """,
    "iteration_over_a_variable": """
        x = T.fvector('x')
        parts = [row * 2 for row in x]
    """,
    "index_by_a_float": """
        x, k = T.fvector('x'), T.fscalar('k')
        y = x[k]
    """,
    # ---- gradients ----
    "gradient_with_respect_to_a_list_of_arrays": """
        x = T.fvector('x')
        g = symgrad.grad(T.sum(x), [np.zeros(3)])
    """,
    "known_gradient_of_another_type": """
        x, g = T.fvector('x'), T.fmatrix('g')
        y = x * 2
        symgrad.grad(None, x, known_grads={y: g})
    """,
    "direction_of_another_type": """
        x, v = T.fvector('x'), T.fmatrix('v')
        symgrad.Rop(x * 2, x, v)
    """,
    "jacobian_of_integers": """
        i = T.ivector('i')
        symgrad.jacobian(i * 2, i)
    """,
    "hessian_of_a_vector": """
        x = T.fvector('x')
        symgrad.hessian(x * 2, x)
    """,
    # ---- settings, files, devices ----
    "unknown_setting": """
        symgrad.config.float_x = 'float32'
    """,
    "value_of_a_setting": """
        symgrad.config.floatX = 'float31'
    """,
    "device_that_is_not_there": """
        with symgrad.config.change_flags(device='cuda'):
            symgrad.function([], T.constant(1.0))
    """,
    "shared_on_a_device_that_is_not_there": """
        w = symgrad.shared(np.zeros((784, 30), 'float32'), 'w', target='cuda1')
    """,
    "target_that_is_no_device": """
        x = T.fmatrix('x')
        y = T.transfer(x, 'gpu')
    """,
    "transfer_to_a_device_that_is_not_there": """
        x = T.fmatrix('x')
        symgrad.function([x], T.exp(x).transfer('cuda0'))
    """,
    "unknown_mode": """
        x = T.fvector('x')
        symgrad.function([x], x, mode='FASTER_RUN')
    """,
    "missing_data_file": """
        from symgrad.data import load_mnist
        load_mnist('no/such/mnist.pkl.gz')
    """,
    "missing_checkpoint": """
        from symgrad.checkpoint import load_checkpoint
        load_checkpoint('no/such/file.safetensors')
    """,
    # ---- random numbers ----
    "probability_above_one": """
        from symgrad.random import RandomStreams
        mask = RandomStreams(1).binomial((3,), p=1.5)
    """,
    "seed_that_is_no_integer": """
        from symgrad.random import RandomStreams
        streams = RandomStreams('today')
    """,
    "more_choices_than_there_are": """
        from symgrad.random import RandomStreams
        picked = RandomStreams(1).choice((5,), a=3, replace=False)
    """,
    # ---- linear algebra ----
    "inverse_of_what_is_not_square": """
        x = T.tensor('float32', (3, 4), 'x')
        T.linalg.inv(x)
    """,
    "singular_matrix_at_the_call": """
        x = T.dmatrix('x')
        f = symgrad.function([x], T.linalg.inv(x))
        f(np.zeros((2, 2)))
    """,
    "solve_sizes": """
        a, b = T.tensor('float64', (3, 3), 'a'), T.tensor('float64', (4,), 'b')
        T.linalg.solve(a, b)
    """,
    "cholesky_of_what_is_not_positive": """
        a = T.dmatrix('a')
        symgrad.function([a], T.linalg.cholesky(a))([[1, 2], [2, 1]])
    """,
    # ---- loops and choices ----
    "scan_without_a_length": """
        x0 = T.fscalar('x0')
        states, updates = symgrad.scan(lambda x: x * 2, outputs_info=x0)
    """,
    "scan_changes_the_dtype": """
        xs = T.fvector('xs')
        totals, updates = symgrad.scan(lambda x, t: t + x, sequences=xs, outputs_info=T.constant(0))
    """,
    "scan_changes_the_rank": """
        xs, x0 = T.fmatrix('xs'), T.fscalar('x0')
        totals, updates = symgrad.scan(lambda x, t: t + x, sequences=xs, outputs_info=x0)
    """,
    "scan_returns_too_few": """
        xs, x0 = T.fvector('xs'), T.fscalar('x0')
        totals, updates = symgrad.scan(lambda x, a, b: a + x, sequences=xs, outputs_info=[x0, x0])
    """,
    "scan_with_hidden_values": """
        xs, k = T.fvector('xs'), T.fscalar('k')
        ys, updates = symgrad.scan(lambda x: x * k, sequences=xs, strict=True)
    """,
    "scan_beyond_its_sequence_at_the_call": """
        xs, n = T.fvector('xs'), T.lscalar('n')
        ys, updates = symgrad.scan(lambda x: x * 2, sequences=xs, n_steps=n)
        symgrad.function([xs, n], ys)([1, 2, 3], 5)
    """,
    "mistake_inside_a_loop": """
        xs, w = T.fmatrix('xs'), symgrad.shared(np.zeros((4, 4), 'float32'), 'w')
        def step(x, h):
            return T.tanh(T.dot(x, w) + h)
        hs, updates = symgrad.scan(step, sequences=xs, outputs_info=T.zeros((4,)))
        symgrad.function([xs], hs)(np.zeros((7, 3), 'float32'))
    """,
    "ifelse_of_two_types": """
        c, x, y = T.lscalar('c'), T.fvector('x'), T.fmatrix('y')
        z = symgrad.ifelse(c, x, y)
    """,
    # ---- ops of one's own ----
    "op_without_perform": """
        class Twice(symgrad.PythonOp):
            itypes, otypes = [T.dvector], [T.dvector]
        x = T.dvector('x')
        symgrad.function([x], Twice()(x))([1, 2])
    """,
    "assertion_at_the_call": """
        x = T.fvector('x')
        y = symgrad.Assert('x must be positive')(x, T.all(T.gt(x, 0)))
        symgrad.function([x], y)([1, -1])
    """,
}
