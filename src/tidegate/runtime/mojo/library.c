/* Kernels that were compiled beforehand, as a module of Python that needs neither numba nor LLVM.
 *
 * What compiled code calls for memory, arrays and exceptions is numba's own C code, from the release that compiled it:
 * the layouts in memory that both know differ between releases. What is here finds the code for the types of a call.
 */
#define NUMBA_EXPORT_FUNC(_rettype) VISIBILITY_HIDDEN _rettype
#define NUMBA_EXPORT_DATA(_vartype) VISIBILITY_HIDDEN _vartype
/* Exceptions are unpickled by pickle, not by numba's serializer. */
#define PYCC_COMPILING
#include "_numba_common.h"
#include "_pymodule.h"
#include "_helperlib.c"
#include "_dynfunc.c"
#include "core/runtime/_nrt_python.c"
#include "kernels.h"

/* What numba's code for hashes of texts refers to; no kernel hashes any. */
int64_t _numba_hashsecret_siphash_k0;
int64_t _numba_hashsecret_siphash_k1;
int64_t _numba_hashsecret_djbx33a_suffix;

/* What one argument must be: a scalar of a type (dimensions < 0), or an array. */
typedef struct {
    PyArray_Descr *type;
    int dimensions;
    char layout;
    char writes;
} Wanted;

/* One way to call a kernel. */
typedef struct {
    PyObject *function;
    PyCFunctionWithKeywords code;
    PyObject *self;
    Py_ssize_t count;
    Wanted *wanted;
} Entry;

typedef struct {
    PyObject_HEAD
    PyObject *name;
    PyObject *missing;
    Py_ssize_t count;
    Entry *entries;
} Kernel;

static int
is_type(PyArray_Descr *found, PyArray_Descr *wanted)
{
    return found == wanted || PyArray_EquivTypes(found, wanted);
}

static int
is_scalar(PyObject *given, PyArray_Descr *wanted)
{
    PyArray_Descr *found;
    int same;

    if (PyFloat_CheckExact(given))
        return wanted->type_num == NPY_DOUBLE;
    if (PyBool_Check(given))
        return wanted->type_num == NPY_BOOL;
    if (PyLong_CheckExact(given))
        return wanted->type_num == NPY_INT64;
    if (!PyArray_CheckScalar(given) || PyArray_Check(given))
        return 0;
    found = PyArray_DescrFromScalar(given);
    if (found == NULL) {
        PyErr_Clear();
        return 0;
    }
    same = is_type(found, wanted);
    Py_DECREF(found);
    return same;
}

static int
is_array(PyObject *given, const Wanted *wanted)
{
    PyArrayObject *array = (PyArrayObject *)given;

    /* Subclasses may mean something else by an index. */
    if (!PyArray_CheckExact(given) || PyArray_NDIM(array) != wanted->dimensions)
        return 0;
    if (wanted->layout == 'C' ? !PyArray_IS_C_CONTIGUOUS(array)
                              : wanted->layout == 'F' && !PyArray_IS_F_CONTIGUOUS(array))
        return 0;
    if (!PyArray_ISALIGNED(array) || (wanted->writes && !PyArray_ISWRITEABLE(array)))
        return 0;
    return is_type(PyArray_DESCR(array), wanted->type);
}

static int
fits(PyObject *arguments, const Entry *entry)
{
    Py_ssize_t i;

    if (PyTuple_GET_SIZE(arguments) != entry->count)
        return 0;
    for (i = 0; i < entry->count; i++) {
        const Wanted *wanted = entry->wanted + i;
        PyObject *given = PyTuple_GET_ITEM(arguments, i);
        if (!(wanted->dimensions < 0 ? is_scalar(given, wanted->type) : is_array(given, wanted)))
            return 0;
    }
    return 1;
}

static PyObject *
kernel_call(Kernel *self, PyObject *arguments, PyObject *named)
{
    Py_ssize_t i;

    if (named != NULL && PyDict_GET_SIZE(named)) {
        PyErr_Format(PyExc_TypeError, "%U() takes no keyword arguments", self->name);
        return NULL;
    }
    for (i = 0; i < self->count; i++) {
        const Entry *entry = self->entries + i;
        if (fits(arguments, entry))
            return entry->code(entry->self, arguments, NULL);
    }
    return PyObject_CallFunctionObjArgs(self->missing, self->name, arguments, NULL);
}

static void
kernel_dealloc(Kernel *self)
{
    Py_ssize_t i, k;

    for (i = 0; i < self->count; i++) {
        Entry *entry = self->entries + i;
        Py_XDECREF(entry->function);
        for (k = 0; entry->wanted != NULL && k < entry->count; k++)
            Py_XDECREF(entry->wanted[k].type);
        PyMem_Free(entry->wanted);
    }
    PyMem_Free(self->entries);
    Py_XDECREF(self->name);
    Py_XDECREF(self->missing);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Read (function, ((dtype, dimensions, layout, writes), ...)). */
static int
read_entry(Entry *entry, PyObject *told)
{
    PyObject *wanted;
    Py_ssize_t i;

    if (!PyArg_ParseTuple(told, "O!O!", &PyCFunction_Type, &entry->function, &PyTuple_Type, &wanted)) {
        entry->function = NULL;
        return -1;
    }
    Py_INCREF(entry->function);
    entry->code = (PyCFunctionWithKeywords)(void (*)(void))PyCFunction_GET_FUNCTION(entry->function);
    entry->self = PyCFunction_GET_SELF(entry->function);
    entry->wanted = PyMem_Calloc(PyTuple_GET_SIZE(wanted) + 1, sizeof(Wanted));
    if (entry->wanted == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    entry->count = PyTuple_GET_SIZE(wanted);
    for (i = 0; i < entry->count; i++) {
        Wanted *one = entry->wanted + i;
        int layout, writes;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(wanted, i), "O!iCp", &PyArrayDescr_Type, &one->type,
                              &one->dimensions, &layout, &writes)) {
            one->type = NULL;
            return -1;
        }
        Py_INCREF(one->type);
        one->layout = (char)layout;
        one->writes = (char)writes;
    }
    return 0;
}

static PyObject *
kernel_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    PyObject *name, *entries, *missing;
    Kernel *self;
    Py_ssize_t i;

    if (!PyArg_ParseTuple(arguments, "UO!O", &name, &PyTuple_Type, &entries, &missing))
        return NULL;
    self = (Kernel *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(name);
    self->name = name;
    Py_INCREF(missing);
    self->missing = missing;
    self->entries = PyMem_Calloc(PyTuple_GET_SIZE(entries) + 1, sizeof(Entry));
    if (self->entries == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->count = PyTuple_GET_SIZE(entries);
    for (i = 0; i < self->count; i++) {
        PyObject *told = PyTuple_GET_ITEM(entries, i);
        if (!PyTuple_Check(told)) {
            PyErr_SetString(PyExc_TypeError, "an entry is a pair");
            Py_DECREF(self);
            return NULL;
        }
        if (read_entry(self->entries + i, told)) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static PyObject *
kernel_functions(Kernel *self, void *closure)
{
    PyObject *found = PyTuple_New(self->count);
    Py_ssize_t i;

    for (i = 0; found != NULL && i < self->count; i++) {
        Py_INCREF(self->entries[i].function);
        PyTuple_SET_ITEM(found, i, self->entries[i].function);
    }
    return found;
}

static PyMemberDef kernel_members[] = {
    {"__name__", T_OBJECT, offsetof(Kernel, name), READONLY, NULL},
    {NULL}
};

static PyGetSetDef kernel_getset[] = {
    {"functions", (getter)kernel_functions, NULL, "The code for each set of types.", NULL},
    {NULL}
};

static PyTypeObject KernelType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "tidegate_kernels.Kernel",
    .tp_basicsize = sizeof(Kernel),
    .tp_dealloc = (destructor)kernel_dealloc,
    .tp_call = (ternaryfunc)kernel_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A kernel: Kernel(name, ((function, ((dtype, dimensions, layout, writes), ...)), ...), missing).",
    .tp_members = kernel_members,
    .tp_getset = kernel_getset,
    .tp_new = kernel_new,
};

/* Give compiled code what it asks its environment for, and return it as a function. */
static PyObject *
function_of(PyObject *module, const Compiled *compiled)
{
    PyObject *name, *text, *function = NULL;
    EnvironmentObject *environment = env_new_empty(&EnvironmentType);

    if (environment == NULL)
        return NULL;
    environment->globals = PyModule_GetDict(module);
    Py_INCREF(environment->globals);
    environment->consts = numba_unpickle(compiled->constants, compiled->length, NULL);
    name = PyUnicode_FromString(compiled->name);
    text = PyUnicode_FromString("");
    if (environment->consts != NULL && name != NULL && text != NULL) {
        function = pycfunction_new(module, name, text, (PyCFunction)(void (*)(void))compiled->code, environment, NULL);
        /* The code has no other way to it, and stays as long as the process. */
        *compiled->environment = environment;
    }
    else {
        Py_DECREF(environment);
    }
    Py_XDECREF(name);
    Py_XDECREF(text);
    return function;
}

static int
add_functions(PyObject *module)
{
    PyObject *functions = PyTuple_New(COMPILED_COUNT);
    Py_ssize_t i;

    if (functions == NULL)
        return -1;
    for (i = 0; i < COMPILED_COUNT; i++) {
        PyObject *function = function_of(module, compiled_code + i);
        if (function == NULL) {
            Py_DECREF(functions);
            return -1;
        }
        PyTuple_SET_ITEM(functions, i, function);
    }
    return PyModule_AddObject(module, "functions", functions);
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "tidegate_kernels", "Kernels that were compiled beforehand.", -1, NULL,
};

PyMODINIT_FUNC
PyInit_tidegate_kernels(void)
{
    PyObject *module;

    import_array();
    module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    NRT_MemSys_init();
    if (init_dynfunc_module(module) || init_nrt_python_module(module) || PyType_Ready(&KernelType)
        || PyModule_AddStringConstant(module, "table", compiled_table)
        || PyModule_AddObjectRef(module, "Kernel", (PyObject *)&KernelType)
        || add_functions(module)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
