"""The rooms of Theano's core: functions, graphs, gradients, control, printing, settings."""

from __future__ import annotations

GRAPH_ROOMS: dict[str, str] = {
    "theano": """
        theano: theano=
        .facts: __version__ sparse_grad _asarray _asarray
        .calling: function function_dump In Out Param
        .sharing: shared
        .modes: Mode ProfileMode FAST_COMPILE FAST_RUN
        .configuration: config=theano_config change_flags=theano_config.change_flags
        .logs: disable_log_handler has_handlers
        .generic: generic object2
        symgrad.tools: clone=clone_replace
        symgrad.tensor: dot get_scalar_constant_value
        .sharing: SharedVariable
        symgrad: Variable Constant
        .printing: pp
        symgrad.control: scan map reduce foldl foldr scan_checkpoints
        .custom: OpFromGraph
        theano.gof: Apply Op Type FunctionGraph
        theano.gradient: grad subgraph_grad Lop Rop
        theano.compile: as_op predefined_linkers predefined_modes shared_constructor SymbolicInput SymbolicOutput
        theano.printing: debugprint pprint=pprint
        theano.updates: OrderedUpdates
    """,
    "theano.version": ".facts: version full_version=version short_version=version",
    "theano.updates": "symgrad: OrderedUpdates Updates=OrderedUpdates",
    "theano.raise_op": "symgrad.custom: Assert",
    "theano.configparser": """
        .configuration: config=theano_config change_flags=theano_config.change_flags
        .configuration: AddConfigVar TheanoConfigParser=TheanoConfig BoolParam StrParam IntParam FloatParam EnumStr
    """,
    "theano.configdefaults": """
        .configuration: config=theano_config
        .facts: python_int_bitwidth local_bitwidth
        theano.configparser: *
    """,
    "theano.compat": ".python_versions: *\nio: BytesIO",
    "theano.compat.python2x": ".python_versions: *",
    "theano.compat.six": ".python_versions: *",
    "theano.compat.six.moves": """
        builtins: xrange=range range zip map filter input
        functools: reduce
        io: StringIO
        pickle: cPickle=
    """,
    # ---- functions ----
    "theano.compile": """
        .calling: function function_dump In Out Param SymbolicInput=In SymbolicOutput=Out
        .sharing: shared shared_constructor
        .modes: Mode ProfileMode MonitorMode NanGuardMode DebugMode FAST_RUN FAST_COMPILE get_mode
        .modes: get_default_mode register_mode
        .modes: predefined_modes predefined_linkers predefined_optimizers
        .compiled: Function=TheanoFunction
        .maker: FunctionMaker
        .graph_walks: rebuild_collect_shared
        .sharing: SharedVariable
        symgrad.errors: UnusedInputError AliasedMemoryError=SymgradError
        theano.compile.ops: *
        theano.compile.profiling: ProfileStats
        theano.compile.builders: OpFromGraph
    """,
    "theano.compile.function": ".calling: function function_dump",
    "theano.compile.function_module": """
        .calling: function orig_function=function
        .compiled: Function=TheanoFunction
        .maker: FunctionMaker
        symgrad.errors: UnusedInputError AliasedMemoryError=SymgradError
    """,
    "theano.compile.pfunc": """
        .calling: pfunc=function Param
        .sharing: shared
        .graph_walks: rebuild_collect_shared
        theano.compile.sharedvalue: *
    """,
    "theano.compile.io": ".calling: In Out SymbolicInput=In SymbolicOutput=Out",
    "theano.compile.mode": """
        .modes: Mode MonitorMode FAST_RUN FAST_COMPILE get_mode get_default_mode register_mode
        .modes: predefined_modes predefined_linkers predefined_optimizers
    """,
    "theano.compile.monitormode": ".modes: MonitorMode\n.monitoring: detect_nan",
    "theano.compile.nanguardmode": ".modes: NanGuardMode",
    "theano.compile.debugmode": """
        .modes: DebugMode
        symgrad.errors: DebugModeError=SymgradError BadThunkOutput=KernelDifferenceError
        symgrad.errors: BadOptimization=KernelDifferenceError InvalidValueError=NonFiniteError
    """,
    "theano.compile.profilemode": ".modes: ProfileMode",
    "theano.compile.profiling": ".compiled: ProfileStats=CallCounts",
    "theano.compile.sharedvalue": """
        .sharing: shared shared_constructor
        .generic: generic
        .sharing: SharedVariable
    """,
    "theano.compile.builders": ".custom: OpFromGraph",
    "theano.compile.ops": """
        .custom: as_op FromFunctionOp view_op deep_copy_op ViewOp DeepCopyOp
        symgrad.ops.sizes: Shape_i=Size SpecifyShape specify_shape shape
        theano.tensor: Rebroadcast Shape
    """,
    # ---- graphs ----
    "theano.gof": """
        symgrad.tools: *
        symgrad.custom: Op=PythonOp PureOp=PythonOp
        symgrad.graph.types: Type CLinkerType=Type
        .custom: COp
        .generic: generic object2
        .maker: FunctionGraph
        symgrad: Apply Variable Constant
        symgrad.errors: MissingInputError InconsistencyError=GraphError
        theano.gof.utils: *
        theano.gof.opt: *
        theano.gof.null_type: NullType
    """,
    "theano.gof.graph": """
        symgrad.tools: *
        symgrad: Apply Variable Constant
        symgrad: Node=Variable
    """,
    "theano.gof.op": """
        symgrad.custom: Op=PythonOp PureOp=PythonOp CLinkerOp=PythonOp
        .custom: COp
        symgrad.graph.test_values: get_debug_values get_test_value
    """,
    "theano.gof.type": "symgrad.graph.types: Type CLinkerType=Type PureType=Type\n.generic: Generic generic",
    "theano.gof.fg": ".maker: FunctionGraph\nsymgrad.errors: MissingInputError InconsistencyError=GraphError",
    "theano.gof.null_type": "symgrad.graph.absent: NullType null_type",
    "theano.gof.utils": """
        .utilities: MethodNotDefined TestValueError scratchpad=Scratchpad undef memoize uniq flatten=flattened
        .utilities: hash_from_code hash_from_file difference to_return_values from_return_values remove
        .utilities: add_tag_trace simple_extract_stack give_variables_names type_guard deprecated hist
        .utilities: toposort
        .generic: object2
    """,
    "theano.gof.opt": "symgrad.rewriting.engine: rule\n.internals_of_theano: check_stack_trace",
    "theano.gof.optdb": "",
    "theano.gof.toolbox": "symgrad.tools: is_same_graph",
    "theano.gof.link": "",
    "theano.gof.vm": "",
    # ---- derivatives ----
    "theano.gradient": """
        .gradients: numeric_grad format_as get_mode mode_not_slow
        .gradients: ConsiderConstant DisconnectedGrad GradClip GradScale UndefinedGrad ZeroGrad
        .gradients: consider_constant_ disconnected_grad_ zero_grad_
        symgrad: grad verify_grad
        symgrad.custom: grad_not_implemented grad_undefined disconnected_type
        symgrad.errors: GradientError
        symgrad.graph.absent: DisconnectedType NullType null_type
        symgrad.graph.test_values: get_debug_values
        symgrad: Rop Lop subgraph_grad jacobian hessian hessian_vector_product
        symgrad.gradient: *
        symgrad.tensor: consider_constant disconnected_grad zero_grad grad_clip grad_scale undefined_grad
        symgrad.errors: DisconnectedInputError NullTypeGradError
    """,
    # ---- control ----
    "theano.ifelse": ".choices: ifelse IfElse",
    "theano.scan_module": """
        symgrad.control: scan map reduce foldl foldr until scan_checkpoints
        theano.updates: OrderedUpdates
        symgrad.tools: clone=clone_replace
    """,
    "theano.scan_module.scan": "symgrad.control: scan",
    "theano.scan_module.scan_views": "symgrad.control: map reduce foldl foldr",
    "theano.scan_module.scan_checkpoints": "symgrad.control: scan_checkpoints",
    "theano.scan_module.scan_op": "symgrad.control: Scan",
    "theano.scan_module.scan_utils": """
        symgrad.control: until
        .graph_walks: map_variables
        symgrad.tools: clone=clone_replace
        symgrad.tools: equal_computations
    """,
    "theano.typed_list": "symgrad.typed_list: *",
    "theano.typed_list.basic": "symgrad.typed_list: *",
    "theano.typed_list.type": "symgrad.typed_list: TypedListType",
    # ---- looking at graphs ----
    "theano.printing": """
        .printing: *
        symgrad.custom: Print
        symgrad.debug: pydotprint
    """,
    "theano.d3viz": ".printing: d3viz d3write",
    "theano.d3viz.d3viz": ".printing: d3viz d3write",
    "theano.misc": "",
    "theano.misc.may_share_memory": "numpy: may_share_memory",
    "theano.misc.ordered_set": ".collections_of_theano: OrderedSet",
    "theano.misc.frozendict": ".collections_of_theano: frozendict FrozenOrderedDict",
    "theano.misc.doubleop": ".collections_of_theano: DoubleOp",
    "theano.misc.safe_asarray": ".facts: _asarray",
    "theano.misc.pkl_utils": ".pickles: dump load",
    "theano.tests": "",
    "theano.gof.python25": ".python_versions: *",
    "theano.tests.unittest_tools": ".test_tools: *\nunittest: SkipTest",
    "theano.tests.test_rop": ".derivative_checks: *",
    "theano.tests.breakpoint": "symgrad.custom: PdbBreakpoint=Breakpoint",
}
