// The products by panels of one instruction level and their table. Included after vector.h.

#include "panels.h"
#include "tiles.h"
#include "bfloat16.h"
#include "int8.h"
#include "formats.h"
