#include "apply/apply.h"
#include "mssql_driver.h"

int main(int argc, char **argv)
{
    return apply_main(&mssql_driver_ops, argc, argv);
}
