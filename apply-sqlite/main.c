#include "apply/apply.h"
#include "sqlite.h"

int main(int argc, char **argv)
{
    return apply_main(&sqlite_ops, argc, argv);
}
