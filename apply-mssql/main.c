#include "apply/apply.h"
#include "mssql_dest.h"

int main(int argc, char **argv)
{
    return apply_main(&mssql_dest_ops, argc, argv);
}
