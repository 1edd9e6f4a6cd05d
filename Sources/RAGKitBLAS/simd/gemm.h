// Packing, micro-kernels and macro-kernels of one instruction level and their table. Included after vector.h.

#include "panels.h"
#include "microkernel.h"
#include "bfloat16.h"
#include "int8.h"
#include "formats.h"
