#include "apply/apply.h"
#include "mysql_dest.h"

int main(int argc, char **argv)
{
    return apply_main(&mysql_dest_ops, argc, argv);
}
