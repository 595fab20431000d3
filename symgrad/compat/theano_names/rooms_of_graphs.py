"""The rooms of Theano's core: functions, graphs, gradients, control, printing, settings."""

from __future__ import annotations

GRAPH_ROOMS: dict[str, str] = {
    "theano": """
        theano: theano=
        .facts: __version__ sparse_grad
        .calling: function function_dump In Out Param
        .sharing: shared
        .modes: Mode FAST_COMPILE FAST_RUN
        .configuration: config=theano_config change_flags=theano_config.change_flags
        .logs: disable_log_handler has_handlers
        .generic: generic object2
        .graphs: clone
        symgrad.tensor: dot get_scalar_constant_value
        symgrad: Variable Constant SharedVariable pp pprint=pp
        symgrad.control: scan map reduce foldl foldr scan_checkpoints OpFromGraph
        theano.gof: Apply Op Type FunctionGraph
        theano.gradient: grad subgraph_grad Lop Rop
        theano.compile: as_op predefined_linkers predefined_modes shared_constructor SymbolicInput SymbolicOutput
        theano.printing: debugprint pprint=pprint
        theano.updates: OrderedUpdates
    """,
    "theano.version": ".facts: version full_version=version short_version=version",
    "theano.updates": ".updates: OrderedUpdates",
    "theano.raise_op": "theano.tensor.opt: Assert assert_op",
    "theano.configparser": """
        .configuration: config=theano_config change_flags=theano_config.change_flags
        .configuration: AddConfigVar TheanoConfigParser=TheanoConfig
        .configuration: BoolParam=Parameter StrParam=Parameter IntParam=Parameter FloatParam=Parameter EnumStr=Choice
    """,
    "theano.configdefaults": """
        .configuration: config=theano_config
        theano.configparser: *
    """,
    "theano.compat": ".python_versions: *",
    "theano.compat.python2x": ".python_versions: *",
    # ---- functions ----
    "theano.compile": """
        .calling: function function_dump In Out Param SymbolicInput=In SymbolicOutput=Out
        .sharing: shared shared_constructor
        .modes: Mode MonitorMode NanGuardMode DebugMode FAST_RUN FAST_COMPILE get_mode get_default_mode register_mode
        .modes: predefined_modes predefined_linkers predefined_optimizers
        .compiled: Function=TheanoFunction
        .maker: FunctionMaker
        symgrad: SharedVariable
        symgrad.errors: UnusedInputError AliasedMemoryError=SymgradError
        theano.compile.ops: *
        theano.compile.profiling: ProfileStats
        theano.compile.builders: OpFromGraph ops_with_inner_function
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
    "theano.compile.profiling": ".compiled: ProfileStats=CallCounts",
    "theano.compile.sharedvalue": """
        .sharing: shared shared_constructor generic
        symgrad: SharedVariable
    """,
    "theano.compile.builders": "symgrad.control: OpFromGraph",
    "theano.compile.ops": """
        .custom: as_op FromFunctionOp=PythonFunction
        .custom: view_op deep_copy_op
        symgrad.ops.sizes: Shape_i=Size SpecifyShape Rebroadcast=AddBroadcast specify_shape shape
    """,
    # ---- graphs ----
    "theano.gof": """
        .graphs: *
        .custom: Op Type
        .generic: generic
        .maker: FunctionGraph
        .types: CLinkerType=Type
        symgrad: Apply Variable Constant
        symgrad.errors: MissingInputError InconsistencyError=GraphError
        theano.gof.utils: *
        theano.gof.opt: *
        theano.gof.null_type: NullType
    """,
    "theano.gof.graph": """
        .graphs: *
        symgrad: Apply Variable Constant
        theano.gof.graph: Node=Variable
    """,
    "theano.gof.op": ".custom: Op COp get_debug_values get_test_value missing_test_message\n.custom: PureOp=Op CLinkerOp=Op",
    "theano.gof.type": ".custom: Type\n.generic: Generic generic",
    "theano.gof.fg": ".maker: FunctionGraph\nsymgrad.errors: MissingInputError InconsistencyError=GraphError",
    "theano.gof.null_type": "symgrad.graph.absent: NullType null_type",
    "theano.gof.utils": ".utilities: MethodNotDefined TestValueError scratchpad=Scratchpad undef memoize uniq flatten=flattened"
    "\n.utilities: hash_from_code hash_from_file difference to_return_values from_return_values remove",
    "theano.gof.opt": "symgrad.rewriting.engine: rule",
    "theano.gof.optdb": "",
    "theano.gof.toolbox": ".graphs: is_same_graph",
    "theano.gof.link": "",
    "theano.gof.vm": "",
    # ---- derivatives ----
    "theano.gradient": """
        .gradients: grad numeric_grad verify_grad format_as get_mode mode_not_slow
        .gradients: grad_not_implemented grad_undefined GradientError
        symgrad.graph.absent: DisconnectedType NullType null_type
        symgrad: Rop Lop subgraph_grad jacobian hessian hessian_vector_product
        symgrad.gradient: *
        symgrad.tensor: consider_constant disconnected_grad zero_grad grad_clip grad_scale undefined_grad
        symgrad.errors: DisconnectedInputError NullTypeGradError
    """,
    # ---- control ----
    "theano.ifelse": "symgrad.control: ifelse IfElse",
    "theano.scan_module": """
        symgrad.control: scan map reduce foldl foldr until scan_checkpoints
        theano.updates: OrderedUpdates
        theano.scan_module: clone=clone_variables
    """,
    "theano.scan_module.scan": "symgrad.control: scan",
    "theano.scan_module.scan_views": "symgrad.control: map reduce foldl foldr",
    "theano.scan_module.scan_checkpoints": "symgrad.control: scan_checkpoints",
    "theano.scan_module.scan_op": "symgrad.control: Scan",
    "theano.scan_module.scan_utils": """
        symgrad.control: until
        .graphs: clone equal_computations map_variables
    """,
    "theano.typed_list": ".typed_lists: *",
    "theano.typed_list.basic": ".typed_lists: *",
    "theano.typed_list.type": ".typed_lists: TypedListType",
    # ---- looking at graphs ----
    "theano.printing": """
        .printing: debugprint pprint pydotprint Print hex_digest position_independent_str var_descriptor
        .printing: min_informative_str pydot_imported pydot_imported_msg
        symgrad: pp
    """,
    "theano.d3viz": ".printing: d3viz d3write",
    "theano.d3viz.d3viz": ".printing: d3viz d3write",
    "theano.misc": "",
    "theano.misc.pkl_utils": ".pickles: dump load",
    "theano.tests": "",
    "theano.tests.unittest_tools": ".test_tools: *",
    "theano.tests.breakpoint": ".printing: PdbBreakpoint",
}
