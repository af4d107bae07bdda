#include "apply/apply.h"
#include "mysql_driver.h"

int main(int argc, char **argv)
{
    return apply_main(&my_driver_ops, argc, argv);
}
